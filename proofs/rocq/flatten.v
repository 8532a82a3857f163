(******************************************************************************)
(*      Tensors as functions on finite index sets, flattened row by row       *)
(*                                                                            *)
(* A tensor of shape (c, h, w) is a function on 'I_c * 'I_h * 'I_w.           *)
(*                                                                            *)
(*         vec x == the tensor x as one column, in row-major order            *)
(*       unvec v == the tensor of a column                                    *)
(*         mxf F == the matrix with entry F i j in row i, column j, where i   *)
(*                  and j are indices of tensors                              *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Flatten.
Variable K : comRingType.

Definition vec (I : finType) (x : I -> K) : 'cV[K]_(#|I|) := \col_i x (enum_val i).
Definition unvec (I : finType) (v : 'cV[K]_(#|I|)) (i : I) : K := v (enum_rank i) 0.
Definition mxf (I J : finType) (F : I -> J -> K) : 'M[K]_(#|I|, #|J|) :=
  \matrix_(i, j) F (enum_val i) (enum_val j).

Lemma vecK (I : finType) (x : I -> K) : unvec (vec x) =1 x.
Proof. by move=> i; rewrite /unvec mxE enum_rankK. Qed.

Lemma unvecK (I : finType) (v : 'cV[K]_(#|I|)) : vec (unvec v) = v.
Proof. by apply/matrixP => i j; rewrite mxE /unvec enum_valK ord1. Qed.

Lemma eq_vec (I : finType) (x y : I -> K) : x =1 y <-> vec x = vec y.
Proof.
split=> [xy|/matrixP xy i]; first by apply/matrixP => i j; rewrite !mxE.
by have := xy (enum_rank i) 0; rewrite !mxE enum_rankK.
Qed.

Lemma eq_mxf (I J : finType) (F G : I -> J -> K) : F =2 G <-> mxf F = mxf G.
Proof.
split=> [FG|/matrixP FG i j]; first by apply/matrixP => i j; rewrite !mxE.
by have := FG (enum_rank i) (enum_rank j); rewrite !mxE !enum_rankK.
Qed.

Lemma mxfE (I J : finType) (F : I -> J -> K) i j : mxf F (enum_rank i) (enum_rank j) = F i j.
Proof. by rewrite mxE !enum_rankK. Qed.

Lemma mxf_vec (I J : finType) (F : I -> J -> K) (x : J -> K) :
  mxf F *m vec x = vec (fun i => \sum_j F i j * x j).
Proof.
apply/matrixP => i j; rewrite !mxE [RHS](reindex (@enum_val J predT)) /=.
  by apply: eq_bigr => k _; rewrite !mxE.
exact: onW_bij (@enum_val_bij J).
Qed.

Lemma mxf_mul (I J H : finType) (F : I -> J -> K) (G : J -> H -> K) :
  mxf F *m mxf G = mxf (fun i k => \sum_j F i j * G j k).
Proof.
apply/matrixP => i k; rewrite !mxE [RHS](reindex (@enum_val J predT)) /=.
  by apply: eq_bigr => j _; rewrite !mxE.
exact: onW_bij (@enum_val_bij J).
Qed.

Lemma mxf1 (I : finType) : mxf (fun i j : I => (i == j)%:R) = 1%:M.
Proof. by apply/matrixP => i j; rewrite !mxE (inj_eq enum_val_inj). Qed.

Lemma vecD (I : finType) (x y : I -> K) : vec (fun i => x i + y i) = vec x + vec y.
Proof. by apply/matrixP => i j; rewrite !mxE. Qed.

Lemma vecZ (I : finType) a (x : I -> K) : vec (fun i => a * x i) = a *: vec x.
Proof. by apply/matrixP => i j; rewrite !mxE. Qed.

Lemma vec_sum (I : finType) m (a : 'I_m -> K) (x : 'I_m -> I -> K) :
  vec (fun i => \sum_k a k * x k i) = \sum_k a k *: vec (x k).
Proof. by apply/matrixP => i j; rewrite mxE summxE; apply: eq_bigr => k _; rewrite !mxE. Qed.

Lemma sum3 (A B C : finType) (F : A * B * C -> K) :
  \sum_q F q = \sum_a \sum_b \sum_c F (a, b, c).
Proof. by rewrite pair_big pair_big /=; apply: eq_bigr => -[[]]. Qed.

End Flatten.

(* the order of vec is row-major, that of torch.flatten and of numpy.ravel *)
Section RowMajor.

Lemma index_pairs (A B : eqType) (s : seq A) (r : seq B) a b :
  a \in s -> b \in r ->
  index (a, b) [seq (x, y) | x <- s, y <- r] = (index a s * size r + index b r)%N.
Proof.
elim: s => //= x s IH ain bin; rewrite index_cat.
have inj : injective (pair x : B -> A * B) by move=> y z [].
have [E|ne] := eqVneq x a; first by rewrite -E mem_map // bin index_map // mul0n.
have -> : (a, b) \in [seq (x, y) | y <- r] = false.
  by apply/negbTE/mapP => -[y _ [E _]]; rewrite E eqxx in ne.
rewrite size_map IH //; last by move: ain; rewrite inE eq_sym (negPf ne).
by rewrite mulSn addnA.
Qed.

Lemma enum_rank_index (T : finType) (x : T) : enum_rank x = index x (enum T) :> nat.
Proof. by rewrite /enum_rank /enum_rank_in insubdK // unfold_in cardE index_mem mem_enum. Qed.

Lemma enum_rank_pair (A B : finType) (a : A) (b : B) :
  enum_rank (a, b) = (enum_rank a * #|B| + enum_rank b)%N :> nat.
Proof.
rewrite !enum_rank_index [enum {: A * B}]enumT unlock /= /prod_enum.
by rewrite index_pairs ?mem_enum // -cardE.
Qed.

Theorem row_major c h w (i : 'I_c) (u : 'I_h) (v : 'I_w) :
  enum_rank (i, u, v) = ((i * h + u) * w + v)%N :> nat.
Proof. by rewrite !enum_rank_pair !enum_rank_ord /= !card_ord. Qed.

Theorem vec_row_major (K : comRingType) c h w (x : 'I_c * 'I_h * 'I_w -> K)
    (i : 'I_c) (u : 'I_h) (v : 'I_w) (r : 'I_#|{: 'I_c * 'I_h * 'I_w}|) :
  r = ((i * h + u) * w + v)%N :> nat -> vec x r 0 = x (i, u, v).
Proof. by rewrite -row_major => /val_inj ->; rewrite -[RHS]vecK. Qed.

End RowMajor.

Print Assumptions row_major.
Print Assumptions vec_row_major.
