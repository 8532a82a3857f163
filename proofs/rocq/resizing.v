(******************************************************************************)
(*      The resizings R of skips, as matrices                                 *)
(*                                                                            *)
(*   subsample s1 s2 x == every s1-th row, every s2-th column of x            *)
(*   enlarge s1 s2 x   == every row s1 times, every column s2 times (nearest) *)
(*   fill_channels x   == x with `before` and `after` channels of zeros       *)
(*   conv1x1 s1 s2 kern x == a 1x1 convolution with strides                   *)
(*   subsample_mx, enlarge_mx, fill_channels_mx == their matrices, selections *)
(*   conv1x1_mx        == its matrix                                          *)
(* The identity is the selection of everything (select_mx_id in pattern.v);   *)
(* average pooling is in pooling.v, BatchNorm in batchnorm.v.                 *)
(*   ..._src           == the input position that an output position copies   *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern padding correlation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Subsample.
Variables (K : comRingType) (c h w oh ow s1 s2 : nat).
Local Notation Inp := ('I_c * 'I_h * 'I_w)%type.
Local Notation Out := ('I_c * 'I_oh * 'I_ow)%type.

Definition subsample_src (o : Out) : option Inp :=
  place (Some o.1.1) (insub (o.1.2 * s1)%N) (insub (o.2 * s2)%N).
Definition subsample (x : Inp -> K) : Out -> K := select subsample_src x.
Definition subsample_mx : 'M[K]_(#|{: Out}|, #|{: Inp}|) := select_mx K subsample_src.

Theorem subsampleP x : subsample_mx *m vec x = vec (subsample x).
Proof. exact: selectP. Qed.

Theorem subsampleE x q (u : 'I_oh) (v : 'I_ow) (i : 'I_h) (j : 'I_w) :
  i = (u * s1)%N :> nat -> j = (v * s2)%N :> nat -> subsample x (q, u, v) = x (q, i, j).
Proof.
by move=> Ei Ej; rewrite /subsample /select /subsample_src /= -Ei -Ej !valK.
Qed.

End Subsample.

Section Enlarge.
Variables (K : comRingType) (c h w s1 s2 : nat).
Local Notation Inp := ('I_c * 'I_h * 'I_w)%type.
Local Notation Out := ('I_c * 'I_(h * s1) * 'I_(w * s2))%type.

Definition enlarge_src (o : Out) : option Inp :=
  place (Some o.1.1) (insub (o.1.2 %/ s1)%N) (insub (o.2 %/ s2)%N).
Definition enlarge (x : Inp -> K) : Out -> K := select enlarge_src x.
Definition enlarge_mx : 'M[K]_(#|{: Out}|, #|{: Inp}|) := select_mx K enlarge_src.

Theorem enlargeP x : enlarge_mx *m vec x = vec (enlarge x).
Proof. exact: selectP. Qed.

Theorem enlargeE x q (u : 'I_(h * s1)) (v : 'I_(w * s2)) (i : 'I_h) (j : 'I_w) :
  i = (u %/ s1)%N :> nat -> j = (v %/ s2)%N :> nat -> enlarge x (q, u, v) = x (q, i, j).
Proof. by move=> Ei Ej; rewrite /enlarge /select /enlarge_src /= -Ei -Ej !valK. Qed.

End Enlarge.

Section FillChannels.
Variables (K : comRingType) (c h w before after : nat).
Local Notation Inp := ('I_c * 'I_h * 'I_w)%type.
Local Notation Out := ('I_(before + c + after) * 'I_h * 'I_w)%type.

(* zero padding of the channel axis *)
Definition fill_src (o : Out) : option Inp :=
  place (src c before Zeros o.1.1) (Some o.1.2) (Some o.2).
Definition fill_channels (x : Inp -> K) : Out -> K := select fill_src x.
Definition fill_channels_mx : 'M[K]_(#|{: Out}|, #|{: Inp}|) := select_mx K fill_src.

Theorem fill_channelsP x : fill_channels_mx *m vec x = vec (fill_channels x).
Proof. exact: selectP. Qed.

Theorem fill_channels_old x (o : Out) (q : 'I_c) :
  o.1.1 = (before + q)%N :> nat -> fill_channels x o = x (q, o.1.2, o.2).
Proof. by move=> oq; rewrite /fill_channels /select /fill_src oq src_inside. Qed.

Theorem fill_channels_new x (o : Out) :
  ~~ (before <= o.1.1 < before + c)%N -> fill_channels x o = 0.
Proof.
rewrite negb_and -ltnNge -leqNgt -src_zeros => /eqP.
by rewrite /fill_channels /select /fill_src => ->.
Qed.

End FillChannels.

Section OneByOne.
Variables (K : comRingType) (ci co h w oh ow s1 s2 : nat) (kern : 'I_co -> 'I_ci -> K).
Local Notation Inp := ('I_ci * 'I_h * 'I_w)%type.
Local Notation Out := ('I_co * 'I_oh * 'I_ow)%type.

Definition conv1x1 (x : Inp -> K) (o : Out) : K :=
  let: (q, u, v) := o in \sum_(c < ci) kern q c * at3 x c (u * s1) (v * s2).
Definition conv1x1_src (o : Out) (c : 'I_ci) : option Inp :=
  place (Some c) (insub (o.1.2 * s1)%N) (insub (o.2 * s2)%N).
Definition conv1x1_mx : 'M[K]_(#|{: Out}|, #|{: Inp}|) :=
  pattern_mx conv1x1_src (fun o c => kern o.1.1 c).

Theorem conv1x1P x : conv1x1_mx *m vec x = vec (conv1x1 x).
Proof.
rewrite patternP; apply/eq_vec => -[[q u] v]; apply: eq_bigr => c _.
by rewrite /at3 valK.
Qed.

(* it is the convolution of correlation.v with one tap *)
Theorem conv1x1_conv2d x :
  conv1x1 x =1 conv2d (g := 1) s1 s2 1 1
                 (fun q c (_ _ : 'I_1) => kern q (cast_ord (divn1 ci) c)) x.
Proof.
case=> [[q u] v] /=; rewrite (reindex (cast_ord (divn1 ci))) /=; last first.
  by exists (cast_ord (esym (divn1 ci))) => i _; rewrite ?cast_ordK ?cast_ordKV.
have group0 m : (q %/ (co %/ 1) * m = 0)%N by rewrite divn1 divn_small // mul0n.
by apply: eq_bigr => c _; rewrite !big_ord1 !addn0 group0.
Qed.

End OneByOne.

(* with strides, it mixes the channels of the subsampled tensor *)
Theorem conv1x1_subsample (K : comRingType) ci co h w oh ow s1 s2 (kern : 'I_co -> 'I_ci -> K) :
  conv1x1_mx h w oh ow s1 s2 kern =
  conv1x1_mx oh ow oh ow 1 1 kern *m subsample_mx K ci h w oh ow s1 s2.
Proof.
rewrite pattern_select; apply: eq_pattern_mx => // o c.
by rewrite /conv1x1_src !muln1 !valK.
Qed.

Print Assumptions subsampleP.
Print Assumptions subsampleE.
Print Assumptions enlargeP.
Print Assumptions enlargeE.
Print Assumptions fill_channelsP.
Print Assumptions fill_channels_old.
Print Assumptions fill_channels_new.
Print Assumptions conv1x1P.
Print Assumptions conv1x1_conv2d.
Print Assumptions conv1x1_subsample.
